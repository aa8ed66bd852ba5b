"""What an evaluation keeps beside its scores, so that a report can be made of its folder alone."""
