import lamp
