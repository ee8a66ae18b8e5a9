"""A run: from a spec to a job, its agenda and bill, the loop over segments, and what is observed and recorded on the
way.
"""
