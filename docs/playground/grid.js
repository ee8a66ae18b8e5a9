const playground = {
 "axes": {
  "stepsize": [
   0.02,
   0.1,
   0.3,
   0.6
  ],
  "temperature": [
   0.0005,
   0.005,
   0.05
  ],
  "friction": [
   0.03,
   0.3,
   3.0
  ]
 },
 "names": {
  "stepsize": "h, stepsize",
  "temperature": "tau, temperature",
  "friction": "gamma, friction"
 },
 "steps": 6000,
 "numbers": [
  {
   "accuracy": 0.682,
   "energy": 0.582,
   "kinetic": 1.11,
   "frozen": 0
  },
  {
   "accuracy": 0.619,
   "energy": 0.589,
   "kinetic": 1.01,
   "frozen": 0
  },
  {
   "accuracy": 0.574,
   "energy": 0.617,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.818,
   "energy": 0.96,
   "kinetic": 0.94,
   "frozen": 0
  },
  {
   "accuracy": 0.685,
   "energy": 0.769,
   "kinetic": 1.01,
   "frozen": 0
  },
  {
   "accuracy": 0.614,
   "energy": 0.662,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.7,
   "energy": 5.519,
   "kinetic": 0.95,
   "frozen": 0
  },
  {
   "accuracy": 0.681,
   "energy": 3.211,
   "kinetic": 1.02,
   "frozen": 0
  },
  {
   "accuracy": 0.595,
   "energy": 1.435,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.837,
   "energy": 0.537,
   "kinetic": 1.02,
   "frozen": 0
  },
  {
   "accuracy": 0.695,
   "energy": 0.562,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.648,
   "energy": 0.59,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.809,
   "energy": 0.934,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.804,
   "energy": 0.914,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.653,
   "energy": 0.735,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.678,
   "energy": 5.537,
   "kinetic": 1.01,
   "frozen": 0
  },
  {
   "accuracy": 0.678,
   "energy": 5.248,
   "kinetic": 1.01,
   "frozen": 0
  },
  {
   "accuracy": 0.667,
   "energy": 2.563,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.844,
   "energy": 0.536,
   "kinetic": 1.01,
   "frozen": 0
  },
  {
   "accuracy": 0.831,
   "energy": 0.536,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.616,
   "energy": 0.588,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.822,
   "energy": 0.941,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.814,
   "energy": 0.94,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.726,
   "energy": 0.804,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.685,
   "energy": 5.558,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.69,
   "energy": 5.497,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.68,
   "energy": 3.858,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.846,
   "energy": 0.535,
   "kinetic": 0.97,
   "frozen": 0
  },
  {
   "accuracy": 0.852,
   "energy": 0.536,
   "kinetic": 0.98,
   "frozen": 0
  },
  {
   "accuracy": 0.654,
   "energy": 0.576,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.82,
   "energy": 0.938,
   "kinetic": 0.98,
   "frozen": 0
  },
  {
   "accuracy": 0.82,
   "energy": 0.938,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.786,
   "energy": 0.89,
   "kinetic": 0.98,
   "frozen": 0
  },
  {
   "accuracy": 0.713,
   "energy": 5.476,
   "kinetic": 1.0,
   "frozen": 0
  },
  {
   "accuracy": 0.682,
   "energy": 5.599,
   "kinetic": 0.99,
   "frozen": 0
  },
  {
   "accuracy": 0.701,
   "energy": 4.999,
   "kinetic": 0.99,
   "frozen": 0
  }
 ]
};
