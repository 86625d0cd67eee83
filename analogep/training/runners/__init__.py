"""What does the updates of an epoch: any engine, or the compiled one."""
