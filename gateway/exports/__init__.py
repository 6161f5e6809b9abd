"""Exports of activity: gathered from the store, rated, written as XLSX or CSV."""
