"""What a run will cost before it is started: memory, time of a step, and which layout to take."""
