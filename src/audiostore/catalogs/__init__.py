"""Who owns what, how much is used, what is in flight.

``rows`` says what a catalog remembers, ``rules`` what may be, ``uploading`` and ``removing`` what each decision does,
and ``decided`` puts them behind the ``Catalog`` contract. ``memory`` and ``sqlite`` only keep the rows.
"""
