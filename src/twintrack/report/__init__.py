"""Everything made to be looked at: the figure of a case (`case_figure`), and writing figures (`save`)."""
