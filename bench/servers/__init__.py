"""A program for each server: it takes mail from anybody to anybody, counts it, and keeps nothing.

    python -m bench.servers.NAME PORT [lone-crs]

They are equally minimal: each hands every message to the least handler that its library allows.
With `lone-crs` those of this library take CRs that end no line as data, as the others do; by
default such mail is refused.
"""
