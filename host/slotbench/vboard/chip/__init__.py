"""An emulated ESP8266 that runs real firmware."""
