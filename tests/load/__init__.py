"""The load: many conversations at once through a served gateway, counted and compared (``make load``)."""
