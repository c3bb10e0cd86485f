"""Options of the commands, each defined once. A group of options reaches its command as one object."""
