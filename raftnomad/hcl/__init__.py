"""HashiCorp's configuration language: HCL2 for job files, HCL1 for agent configuration and rules, their JSON forms.

Knows nothing about jobs. `parser` makes a tree with source offsets, `evaluator` makes values, `legacy` reads HCL1.
"""
