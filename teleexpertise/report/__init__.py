"""The report of a tele-expertise as PDF. ``teleexpertise.report.printing`` renders what ``model`` describes.

The printer is imported from its own module: WeasyPrint is heavy, and most of the program never prints.
"""

from teleexpertise.report.model import Report, ReportAttachment, ReportExchange

__all__ = ["Report", "ReportAttachment", "ReportExchange"]
