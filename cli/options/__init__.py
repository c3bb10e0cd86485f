"""Options of the commands, each defined once. A group of options hands over one object."""
