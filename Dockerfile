# docker build -t ctxenc .                                  for a CPU
# docker build -t ctxenc:cuda --build-arg "EXTRAS=[cuda]" . for NVIDIA GPUs: docker run --gpus all …
# docker run --rm -v "$PWD/experiments:/ctxenc/experiments" ctxenc
FROM python:3.13-slim
ARG EXTRAS=""
# Compiled programs go where any user may write, so docker run --user works.
ENV PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/tmp/cache
WORKDIR /ctxenc
COPY . .
RUN python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".${EXTRAS}"
CMD ["python", "-m", "ctxenc.train"]
