"""The published figures, reproduced: Leimkuhler, Matthews and Vlaar (2019), and what stands beside them."""
