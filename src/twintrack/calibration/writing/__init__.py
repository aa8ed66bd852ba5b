"""What is written for a cohort: response maps, whole masks, volumes and flags."""
