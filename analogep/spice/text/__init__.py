"""The language of netlists: lines, words, expressions, parameters, analyses."""
