"""A synthetic world of customers and merchants, with crimes, delayed labels and drift.

It fills an empty database and sends live traffic; nothing else depends on it.
"""
