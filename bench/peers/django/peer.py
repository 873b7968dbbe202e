"""A Django project in one file: settings, models, views. Configured by the environment of bench/django_peer.py."""
import hashlib
import hmac
import json
import os
import time
import uuid

import django
from django.conf import settings

DATABASE = json.loads(os.environ["PEER_DATABASE"])


def database(name):
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "HOST": DATABASE["host"], "PORT": DATABASE["port"],
            "USER": DATABASE["user"], "PASSWORD": DATABASE["password"],
            **({"OPTIONS": {"pool": {"min_size": 2, "max_size": 8}}} if DATABASE["pool"] else {"CONN_MAX_AGE": None})}


settings.configure(
    SECRET_KEY="bench", DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, TIME_ZONE="UTC", APPEND_SLASH=False,
    DATABASES={"default": database("coditect_cell"), "directory": database("coditect_directory")},
    MIDDLEWARE=[], INSTALLED_APPS=["rest_framework", "django_multitenant"], LOGGING_CONFIG=None,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
                    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"], "UNAUTHENTICATED_USER": None},
)
django.setup()

from django.db import models  # noqa: E402
from django.http import Http404  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_multitenant.fields import TenantForeignKey  # noqa: E402,F401
from django_multitenant.mixins import TenantManagerMixin, TenantModelMixin  # noqa: E402
from django_multitenant.utils import set_current_tenant, unset_current_tenant  # noqa: E402
from rest_framework import authentication, exceptions, serializers, status  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
VALUE = {c: i for i, c in enumerate(CROCKFORD)}


def to_base32(value):
    n = value.int
    return "".join(CROCKFORD[(n >> shift) & 31] for shift in range(125, -1, -5))


def from_base32(text):
    n = 0
    for c in text:
        n = n << 5 | VALUE[c]
    return uuid.UUID(int=n)


class Organization(TenantModelMixin, models.Model):
    public_id = models.UUIDField()
    slug = models.TextField()
    state = models.TextField()

    class TenantMeta:
        tenant_field_name = "id"

    class Meta:
        managed, db_table, app_label = False, "tenants", "peer"


class ApiKey(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.BigIntegerField()
    secret_hash = models.BinaryField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        managed, db_table, app_label = False, "api_keys", "peer"


class ProjectManager(TenantManagerMixin, models.Manager):
    pass


class Project(TenantModelMixin, models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.BigIntegerField()
    name = models.TextField()
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)
    objects = ProjectManager()

    class TenantMeta:
        tenant_field_name = "tenant_id"

    class Meta:
        managed, db_table, app_label = False, "projects", "peer"


class TypeId(serializers.Field):
    def to_representation(self, value):
        return "project_" + to_base32(value)


class ProjectSerializer(serializers.ModelSerializer):
    id = TypeId(read_only=True)
    name = serializers.CharField(min_length=1, max_length=200)

    class Meta:
        model = Project
        fields = ["id", "name", "created_at", "updated_at", "deleted_at"]
        read_only_fields = ["created_at", "updated_at", "deleted_at"]


SECRET_KEY = bytes.fromhex(os.environ["PEER_CREDENTIAL_KEY"])
known_keys = {}


class KeyAuthentication(authentication.BaseAuthentication):
    """The API key of the Authorization header; request.user is its organization."""

    def authenticate(self, request):
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header.startswith("Bearer ck_"):
            raise exceptions.AuthenticationFailed()
        token, now = header[7:], time.monotonic()
        known = known_keys.get(token)
        if known is None or now - known[1] > 1:
            known = (self.check(token), now)
            known_keys[token] = known
        set_current_tenant(known[0])
        return known[0], None

    def authenticate_header(self, request):
        return "Bearer"

    @staticmethod
    def check(token):
        _, public_id, key_id, rest = token.split("_")
        unset_current_tenant()
        organization = Organization.objects.using("directory").filter(public_id=from_base32(public_id), state="active").first()
        key = organization and ApiKey.objects.filter(tenant_id=organization.id, id=from_base32(key_id), revoked_at=None).first()
        mac = hmac.new(SECRET_KEY, rest[:43].encode(), hashlib.sha256).digest()
        if not key or not hmac.compare_digest(mac, bytes(key.secret_hash)):
            raise exceptions.AuthenticationFailed()
        return organization


class TenantView(APIView):
    authentication_classes = [KeyAuthentication]
    permission_classes = []

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if request.user.slug != kwargs["tenant"]:
            raise Http404


class Projects(TenantView):
    def get(self, request, tenant):
        size = min(int(request.query_params.get("page_size", 50)), 200)
        rows = list(Project.objects.filter(deleted_at=None).order_by("id")[:size + 1])
        token = to_base32(rows[size - 1].id) if len(rows) > size else None
        return Response({"items": ProjectSerializer(rows[:size], many=True).data, "next_page_token": token})

    def post(self, request, tenant):
        serializer = ProjectSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        now = timezone.now()
        project = Project(id=uuid.uuid4(), tenant_id=request.user.id, created_at=now, updated_at=now, **serializer.validated_data)
        project.save(force_insert=True)
        return Response(ProjectSerializer(project).data, status=status.HTTP_201_CREATED)


class OneProject(TenantView):
    def get(self, request, tenant, project):
        row = Project.objects.filter(id=from_base32(project.removeprefix("project_")), deleted_at=None).first()
        if row is None:
            raise Http404
        return Response(ProjectSerializer(row).data)


urlpatterns = [
    path("v1/tenants/<str:tenant>/projects", Projects.as_view()),
    path("v1/tenants/<str:tenant>/projects/<str:project>", OneProject.as_view()),
]

if os.environ.get("PEER_ASGI"):
    from django.core.asgi import get_asgi_application
    application = get_asgi_application()
else:
    from django.core.wsgi import get_wsgi_application
    application = get_wsgi_application()
