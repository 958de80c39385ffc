# Stock firmware: nobody decides which slot starts.
