"""Networks of others behind the labelling protocols, imported only when they are asked for.

None of them downloads anything: weights are files that a person has put there.
"""
