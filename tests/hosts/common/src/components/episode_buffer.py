"""Episodes as the hosts hold them: padded tensors, integers for flags, one-hots of the actions beside them."""

import torch as th


class EpisodeBatch:
    def __init__(self, scheme, groups, batch_size, max_seq_length, data=None, preprocess=None, device="cpu"):
        self.scheme, self.groups, self.preprocess, self.device = scheme, groups, preprocess or {}, device
        self.batch_size, self.max_seq_length = batch_size, max_seq_length
        self.data = data if data is not None else {"filled": self._zeros((1,), th.long)}
        if data is None:
            for name, spec in scheme.items():
                shape = spec["vshape"] if isinstance(spec["vshape"], tuple) else (spec["vshape"],)
                shape = (groups[spec["group"]], *shape) if "group" in spec else shape
                self.data[name] = self._zeros(shape, spec.get("dtype", th.float32))
            for name, (onehot, (transform,)) in self.preprocess.items():
                self.data[onehot] = transform.transform(self.data[name]) * 0

    def _zeros(self, shape, dtype):
        return th.zeros(self.batch_size, self.max_seq_length, *shape, dtype=dtype)

    def update(self, data, bs=slice(None), ts=slice(None), mark_filled=True):
        if mark_filled:
            self.data["filled"][bs, ts] = 1
        for name, value in data.items():
            place = self.data[name][bs, ts]
            self.data[name][bs, ts] = th.as_tensor(value, dtype=place.dtype).reshape(place.shape)
            if name in self.preprocess:
                onehot, (transform,) = self.preprocess[name]
                self.data[onehot][bs, ts] = transform.transform(self.data[name][bs, ts])

    def __getitem__(self, item):
        if isinstance(item, str):
            return self.data[item]
        data = {name: value[item] for name, value in self.data.items()}
        return EpisodeBatch(self.scheme, self.groups, *data["filled"].shape[:2], data, self.preprocess)

    def max_t_filled(self):
        return self.data["filled"].sum(dim=1).max()
