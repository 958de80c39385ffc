# Stock firmware: there are no slots.
