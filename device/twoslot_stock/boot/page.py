# Stock firmware: there are no sealed pages.
