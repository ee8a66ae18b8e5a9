// Shadow work, and proposals that are accepted or rejected (equations.md section 13): as engines/proposals.py, and equal to it to rounding.
// The start of a proposal is kept in memory, row by row: it is written once a block, and read where one is rejected.
#pragma once

// What a run counts on its way through a step, and of the proposal under way.
struct Proposal {
  wide own, alike;      // work of forces in this step: by this member's units, and what every member finds alike
  wide before;          // U at the start of this step
  wide start, work;     // U at the start of the proposal, work of its forces until this step
  i64 done[LANES], length[LANES];  // its steps so far, 0 at the end of a block; Hyper.block
  bool inside[LANES];
};

HD double exp_of_lane(double x) { return lane_of(exp_double(x - doubles{}), 0); }
HD bool is_number(double x) { return x - x == 0; }

template <class Run> HD void load_proposal(Run& run) {
  Proposal& p = run.proposal;
  for (int l = 0; l < LANES; ++l) {
    const i64 r = run.replica(l);
    of_lane(p.inside, l) = false;
    of_lane(p.done, l) = BRACES ? run.a.block_steps[r] : 0;
    of_lane(p.length, l) = BRACES ? run.a.block[r] : 0;
    set_wide(p.start, l, BRACES ? run.a.block_energy[r] : 0);
    set_wide(p.work, l, BRACES ? run.a.block_work[r] : 0);
  }
}

template <class Run> HD void store_proposal(const Run& run) {
  const Proposal& p = run.proposal;
  for (int l = 0; l < LANES && run.first + l < run.a.replicas && run.team.member == 0; ++l) {
    run.a.block_steps[run.first + l] = of_lane(p.done, l);
    run.a.block_energy[run.first + l] = get_wide(p.start, l);
    run.a.block_work[run.first + l] = get_wide(p.work, l);
  }
}

template <class Run> HD void begin_work(Run& run) {
  run.proposal.own = run.proposal.alike = splat_wide(0);
  run.proposal.before = run.s.energy;
}

// The brace: a proposal begins where none is under way and U is a number to compare with.
template <class Run> SLOW void open_proposal(Run& run) {
  Proposal& p = run.proposal;
  for (int l = 0; l < LANES; ++l) {
    const bool fresh = of_lane(p.length, l) > 0 && of_lane(p.done, l) == 0 && is_number(get_wide(run.s.energy, l));
    of_lane(p.inside, l) = fresh || of_lane(p.done, l) > 0;
    if (!fresh) continue;
    set_wide(p.start, l, get_wide(run.s.energy, l));
    set_wide(p.work, l, 0);
    if (run.first + l >= run.a.replicas) continue;
    run.store_lane(run.a.block_position, run.s.q, run.s.tq, l);
    run.store_lane(run.a.block_momentum, run.s.p, run.s.tp, l);
    if constexpr (LEADING) run.store_lane(run.a.block_gradient, run.s.g, run.s.tg, l);
  }
}

// The state of lane l is that at the start of its proposal, turned round.
template <class Run> HD void undo(Run& run, int l) {
  run.load_lane(run.a.block_position, run.s.q, run.s.tq, l, scalar(1));
  run.load_lane(run.a.block_momentum, run.s.p, run.s.tp, l, scalar(-1));
  if constexpr (LEADING) run.load_lane(run.a.block_gradient, run.s.g, run.s.tg, l, scalar(1));
  set_wide(run.s.energy, l, get_wide(run.proposal.start, l));
}

// Add the work w of what ended to the sums; min(1, exp(-w / tau)), 0 where w is no number.
template <class Run> HD double count_work(Run& run, int l, double w) {
  const bool finite = is_number(w);
  const double chance = finite ? exp_of_lane(-(w > 0 ? w : 0) / get_wide(run.s.c.w[HEAT], l)) : 0;
  if (run.team.member == 0 && run.first + l < run.a.replicas && get(run.running, l)) {
    double* sums = run.a.work_sums + (run.first + l) * 5;
    sums[0] += 1;
    sums[1] += chance;
    if (finite) {
      sums[2] += 1;
      sums[3] += w;
      sums[4] += w * w;
    }
  }
  return chance;
}

// Whether any lane's U must be known at the end of this step: in the middle of a proposal it need not.
template <class Run> HD bool wants_energy(const Run& run) {
  const Proposal& p = run.proposal;
  bool any = !BRACES;
  for (int l = 0; l < LANES; ++l) any |= !of_lane(p.inside, l) || of_lane(p.done, l) + 1 >= of_lane(p.length, l);
  return any;
}

// The other brace, or the end of a plain step: what ended is counted, and undone where it is rejected.
template <class Run> SLOW void close_step(Run& run) {
  Proposal& p = run.proposal;
  bool ended[LANES];
  for (int l = 0; l < LANES; ++l) of_lane(ended, l) = !of_lane(p.inside, l) || of_lane(p.done, l) + 1 >= of_lane(p.length, l);
  if constexpr (!ENDS_AT_EVALUATION) {
    if (wants_energy(run)) run.evaluate_energy();
  }
  for (int l = 0; l < LANES; ++l) if (!of_lane(ended, l)) set_wide(run.s.energy, l, get_wide(p.before, l));
  const wide forces = run.team.sum(p.own) + p.alike;
  word chosen[1][4];
  if constexpr (BRACES) {
    const u32 block[1] = {0};
    philox(address(run.s.keys, PURPOSE_ACCEPTANCE, run.now, 0), block, chosen);
  }
  for (int l = 0; l < LANES; ++l) {
    double w = get_wide(forces, l);
    if (of_lane(p.inside, l)) {
      w += get_wide(p.work, l);
      set_wide(p.work, l, w);
      of_lane(p.done, l) = of_lane(ended, l) ? 0 : of_lane(p.done, l) + 1;
    }
    if (!of_lane(ended, l)) continue;
    const double chance = count_work(run, l, w + (get_wide(run.s.energy, l) - get_wide(of_lane(p.inside, l) ? p.start : p.before, l)));
    if constexpr (BRACES) {
      const double u = (double(u32(get(chosen[0][0], l))) + 0.5) * 0x1p-32;
      if (of_lane(p.inside, l) && get(run.running, l) && !(u < chance)) undo(run, l);
    }
  }
}

// What was counted since the last recorded moment, as engines/work.py has it.
template <class Run> SLOW void record_work(const Run& run, i64 i) {
  for (int l = 0; l < LANES && run.first + l < run.a.replicas && run.team.member == 0; ++l) {
    if (run.slot(l, i) < 0) continue;
    double* sums = run.a.work_sums + (run.first + l) * 5;
    const i64 at = run.slot(l, i) * run.a.replicas + run.first + l;
    const double nan = get(run.running, l) ? 0.0 : not_a_number(), mean = sums[3] / sums[2] + nan;
    const double variance = sums[4] / sums[2] - mean * mean;
    run.a.ring_acceptance[at] = sums[1] / sums[0] + nan;
    run.a.ring_shadow_work[at] = mean;
    run.a.ring_shadow_work_variance[at] = variance < 0 ? 0 : variance;
    run.a.ring_proposals[at] = sums[0] + nan;
    for (int k = 0; k < 5; ++k) sums[k] = 0;
  }
}
