# Stock firmware: there is no boot journal.
