"""The scores, one family per file: functions of arrays, which know nothing of cohorts and protocols."""
