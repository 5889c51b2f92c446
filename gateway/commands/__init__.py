"""The gateway's commands, a module for each group; asking.py has what all of them share."""
