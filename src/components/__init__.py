"""Episodes and what is done with them: batches, replay, schedules, action selectors."""
