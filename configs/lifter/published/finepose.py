# FinePOSE (Xu et al. 2024): D3DP that is told what is done and which parts of a body there are.
# `diffusion.prompt` is a design of its ablation: none, manual, simple, coarse, learned or full.
# CLIP for the text: diffusion.text=openai/clip-vit-base-patch32 diffusion.text_width=512.
_base_ = "d3dp.py"
name = "finepose"
diffusion = dict(prompt="full", text="minilm", text_width=384, prompt_blocks=4, dropped=0.2)
stage = dict(samples=1_280_000)
