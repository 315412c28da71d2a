# docker build -t mmsa .   or, for NVIDIA GPUs:   docker build -t mmsa --build-arg TORCH=cuda .
FROM python:3.11-slim
# cpu takes Torch from PyTorch's index for CPUs (0.2 GB), cuda PyPI's with CUDA's packages (2.7 GB).
ARG TORCH=cpu
# Extras of pyproject.toml, separated by commas.
ARG EXTRAS=report
WORKDIR /opt/mmsa
COPY requirements.txt ./
RUN if [ "$TORCH" = cpu ]; then \
        pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep -o '^torch==[^ ]*' requirements.txt)"; \
    fi && pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir ".[$EXTRAS]"
# Runs are written below the folder that is started from: mount yours on /work/results.
WORKDIR /work
ENTRYPOINT ["mmsa"]
CMD ["--help"]
