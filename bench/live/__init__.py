"""Real sockets and a real mosquitto: what our endpoint costs, beside mosquitto's own C clients."""
