"""The alarms machine: what people must look at, once each."""
