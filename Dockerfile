# One program for all roles. The build stage makes the Debian package, the last one installs it: nothing
# but its own dependencies, no shell tools of ours, a user without rights.
#   docker build -t coditect .
# Not built by the tests, which have no container engine. For a release give both stages the base image by
# digest: --build-arg DEBIAN=debian@sha256:...
ARG DEBIAN=debian:13-slim

FROM ${DEBIAN} AS build
WORKDIR /src
COPY scripts/ scripts/
RUN apt-get update && scripts/setup.sh
COPY . .
RUN cmake --preset release \
 && cmake --build --preset release --target coditect \
 && cd build/release && cpack -D CPACK_COMPONENTS_ALL=runtime && mv coditect_*.deb /coditect.deb

FROM ${DEBIAN}
COPY --from=build /coditect.deb /tmp/
RUN apt-get update \
 && apt-get install -y --no-install-recommends /tmp/coditect.deb ca-certificates \
 && rm -rf /var/lib/apt/lists/* /tmp/coditect.deb
USER 65532:65532
ENTRYPOINT ["/usr/bin/coditect"]
CMD ["--help"]
