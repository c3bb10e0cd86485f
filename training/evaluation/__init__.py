"""Average precision, through the runtime that deploys."""
