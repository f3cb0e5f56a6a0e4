"""What `answer.refute` is made of: how a response is read, and the templates that stand in for one."""
