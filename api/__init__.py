"""The scoring service: scores, holds versions, swaps, rolls back, journals decisions."""
