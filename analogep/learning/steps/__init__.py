"""From a gradient to a change of parameters: optimizers, schedules, signs of β."""
