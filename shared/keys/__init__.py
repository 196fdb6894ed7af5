"""Keys and tokens: created at first start, mode 0600, one folder for each set of holders.

signing/  the private key that signs bundles    scheduler only
trust/    the public keys whose bundles load    written by the scheduler, read by the API
push/     the token that may push a bundle      both services
feedback/ the token that may send labels        both services
api/      all other tokens, named ones too      API only
"""
