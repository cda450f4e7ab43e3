"""SmolVLM2's processor as transformers gives it by default, around a tokenizer of the miniatures' 272 ids: what files.py, ../engine/watch.py and
tests/peer/peer_watch.py ask. A clip is read by path, so by the processor's own decoder (torchcodec), and told by its own chat template."""
import os
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.smolvlm import SmolVLMImageProcessor, SmolVLMProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "samples", "training"))
import model as m  # noqa: E402


def byte_letters():
    """The letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(rest)) for b in range(256)]


def tokenizer():
    """Bytes are their own ids."""
    tok = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(byte_letters())}, merges=[]))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in m.TOKEN])
    assert all(tok.token_to_id(t) == i for t, i in m.TOKEN.items())
    return PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="<|im_end|>", eos_token="<end_of_utterance>", model_max_length=1 << 30)


class Reference:
    def __init__(self, longest, side, n_rows, fps=1, most=64):
        self.video = SmolVLMVideoProcessor(max_image_size={"longest_edge": side}, image_mean=[0.5] * 3, image_std=[0.5] * 3,
                                           video_sampling={"fps": fps, "max_frames": most, "video_size": {"longest_edge": longest}})
        image = SmolVLMImageProcessor(size={"longest_edge": longest}, max_image_size={"longest_edge": side})
        self.processor = SmolVLMProcessor(image, tokenizer(), self.video, image_seq_len=n_rows)

    def ask(self, path, question, fps=None, most=None):
        """Metadata, prompt ids, and pixel values [n, 3, side, side]."""
        given = {k: v for k, v in (("fps", fps), ("num_frames", most)) if v}
        talk = [{"role": "user", "content": [{"type": "video", "path": str(path)}, {"type": "text", "text": question}]}]
        seen = {}
        inner = self.video.sample_frames

        def sample(metadata, **kwargs):
            seen["metadata"], seen["frames"] = metadata, inner(metadata, **kwargs)
            return seen["frames"]

        self.video.sample_frames = sample
        try:
            out = self.processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
                                                     processor_kwargs={"do_sample_frames": True, **given})
        finally:
            del self.video.sample_frames
        pixels = out["pixel_values"][0]
        assert len(pixels) == len(seen["frames"]), "all frames that were chosen, and no others"
        return seen["metadata"], seen["frames"], out["input_ids"][0].tolist(), pixels

    def colours(self, pixels):
        """u8 [n, side, side, 3] of which the processor makes these pixel values, to the bit."""
        u8 = (pixels * 127.5 + 127.5).round().to(torch.uint8)
        again = self.video.rescale_and_normalize(u8, True, 1 / 255, True, (0.5,) * 3, (0.5,) * 3)
        assert torch.equal(again, pixels)
        return u8.permute(0, 2, 3, 1).contiguous().numpy()


def text_of(ids):
    names = {i: t for t, i in m.TOKEN.items()}
    return b"".join(names[i].encode() if i in names else bytes([i]) for i in ids)
