# in_shape (1, 8, 8)
import torch.nn as nn

CFG = [16, 16, "M", 32, 32, "M"]


def make_layers(cfg, channels):
    layers = []
    for v in cfg:
        if v == "M":
            layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
        else:
            layers += [nn.Conv2d(channels, v, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            channels = v
    return nn.Sequential(*layers)


class VGG(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.features = make_layers(CFG, in_channels)
        self.classifier = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(32 * 2 * 2, 48),
            nn.ReLU(True),
            nn.Linear(48, num_classes),
        )

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)
