"""The report: one HTML file that holds everything it shows, made of an evaluation's folder (`page`)."""
