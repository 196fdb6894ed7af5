"""Rows of a declared use case: schema, declaration, encoder and tables.

`Declaration` is usecase.toml as checked objects; `RowSchema` is what it says about a row;
`RowEncoder` and `encode_frame` turn rows into float32 vectors without any fitted state.
"""
