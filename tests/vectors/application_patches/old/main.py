import lamp
lamp.on()
