"""What tests of every kind share: waiting for conditions, and the processes of an agent."""
