"""A run: from a spec to a job, its agenda and bill, the loop over segments, and what is observed and recorded on the
way.

Reading order: subject (what a run is about; network and potential are the two there are), setup (a spec made ready),
hyperparameters, agenda (when it records), loop, stored (what is kept), bill (what it will cost), drive (a run against
clock, signals and a store).
"""
