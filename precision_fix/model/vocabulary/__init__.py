"""What bfloat16, and what needs it, is called: the one place for each word, and all that is computed from it.

`precision` has the words and the names of settings, `libraries` the table of the libraries with words of their own,
`attention` flash attention's words, `truth` those for true and false, `callees` what a called function does with a
dtype, `needles` what a file must hold to be worth reading. Whoever looks for a word asks here: a row more is found in
every kind of file.
"""
