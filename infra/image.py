"""The load image: built from locust/Dockerfile, pushed to a repository of the stack's own, used by its digest."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from infra.context import CONTEXT, stage
from infra.naming import COMPONENT, named


@dataclass(frozen=True)
class ImageArgs:
    """Whether the build context is copied first: needed to build, not to declare."""

    stage_context: bool


class LoadImage(pulumi.ComponentResource):
    """Repository and image; `ref` names the image by digest, so a moved tag changes nothing that runs."""

    def __init__(self, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "LoadImage", named("image"), None, opts)
        here = pulumi.ResourceOptions(parent=self)
        if args.stage_context:
            stage()
        self.repository = aws.ecr.Repository(
            named("load"),
            force_delete=True,
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            opts=here,
        )
        aws.ecr.LifecyclePolicy(
            named("load"),
            repository=self.repository.name,
            policy=json.dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": "Images that a newer build took the tag from",
                            "selection": {
                                "tagStatus": "untagged",
                                "countType": "sinceImagePushed",
                                "countUnit": "days",
                                "countNumber": 14,
                            },
                            "action": {"type": "expire"},
                        }
                    ]
                }
            ),
            opts=here,
        )
        login = aws.ecr.get_authorization_token_output(
            registry_id=self.repository.registry_id, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        self.image = docker.Image(
            named("load"),
            build={
                # Relative to the project, for the provider compares the path itself as well.
                "context": CONTEXT.as_posix(),
                "dockerfile": (CONTEXT / "locust" / "Dockerfile").as_posix(),
                "platform": "linux/amd64",
            },
            image_name=self.repository.repository_url.apply(lambda url: f"{url}:load"),
            registry={
                "server": self.repository.repository_url,
                "username": login.user_name,
                "password": pulumi.Output.secret(login.password),
            },
            opts=here,
        )
        self.ref = self.image.repo_digest
        self.register_outputs({"ref": self.ref})
